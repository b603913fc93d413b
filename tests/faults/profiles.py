"""How many examples a property test draws: a number of its own, or as many as the night allows."""

from hypothesis import HealthCheck, settings

QUICK = 25  # of the profile that is loaded by default
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(quick: int, **more: object) -> settings:
    """Draw so many examples, more if a profile with more was asked for."""
    asked = settings().max_examples
    number = quick if asked <= QUICK else asked
    return settings(max_examples=number, deadline=None, suppress_health_check=CHECKS, **more)
