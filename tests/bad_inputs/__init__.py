"""The catalogue of bad inputs and faults: 139 numbered entries, each tried as a user would."""
