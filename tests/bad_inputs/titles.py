"""The 139 entries of the catalogue of bad inputs in a few words each; numbers stay fixed."""

_WORDS = """
1 item that nobody answered
2 person without answers
3 item that everybody answered alike
4 category chosen once
5 all right, all wrong
6 person twice, same rows
7 person twice, different rows
8 item name twice
9 names that differ in case, blanks or Unicode form only
10 third category under a two-category model
11 integers written as 1.0 or with blanks
12 truth words
13 mixed kinds in one column
14 byte order mark
15 UTF-16, Latin-1
16 two encodings in one file
17 wrong separator
18 decimal comma
19 no respondents
20 no header
21 one item
22 two items
23 one person
24 fewer persons than items
25 a million columns
26 more rows than memory
27 integer beyond 64 bits
28 infinite answers
29 negative codes
30 9 or 999 for no answer
31 categories from 1
32 gap in the categories
33 ordered words without an order
34 category that the calibration never saw
35 identifier taken as an item
36 long table read as wide
37 the same answer twice
38 transposed table
39 spreadsheet formulas
40 NUL byte
41 newline inside quotes
42 quote that is not closed
43 row too long or too short
44 line ends of other systems
45 separator at the end of lines
46 row names of pandas or R
47 damaged gzip
48 gzip bomb
49 zip archive
50 damaged or misnamed Parquet
51 odd Parquet types
52 workbook named csv
53 folder, pipe, device, broken link
54 file that changes while it is read
55 characters that do not show, or look alike
56 weights that are none
57 groups without sense
58 one file given twice
59 item without a gold label
60 key too short or too long
61 typing error in a label
62 labels that differ in case or blanks
63 gold label that nobody chose
64 wrong key
65 reversed item
66 all items reversed
67 two gold labels for an item
68 predictions in other labels
69 older or newer schema
70 unknown field
71 missing field
72 changed parameter
73 NaN or Infinity in JSON
74 parameters that cannot be
75 parameters out of range
76 huge numbers, texts, nesting
77 field twice in an object
78 paths that lead out of a bundle
79 pickle named json
80 YAML that runs code
81 items in another order
82 two scales of one name
83 numbers in quotes
84 half a file
85 markup in metadata
86 decimal comma in a scale
87 items not answered
88 items not on the scale
89 item answered twice
90 probabilities that do not sum to one
91 values that are no probabilities
92 logits for probabilities
93 unknown labels
94 tied probabilities
95 no item ids
96 other text than was calibrated
97 one label for everything
98 bad line in JSON lines
99 predictions of another split
100 all right or all wrong on a scale
101 not converged
102 log-likelihood that falls
103 slope that runs away
104 separated persons (Guttman)
105 parts without a link
106 weak link
107 pair that nobody answered together
108 one pattern only
109 information that cannot be inverted
110 local maximum
111 asymptote at its bound
112 category unused in a group
113 chains that do not mix
114 priors that make no sense
115 overflow
116 too few degrees of freedom for M2
117 too few quadrature nodes
118 no GPU where one is asked for
119 out of memory in training
120 loss that is no number
121 training interrupted
122 disk full while saving
123 killed while writing
124 resuming another run
125 empty or one-class training set
126 evaluation items in training
127 remote code, pickled weights
128 texts longer than the model reads
129 missing input, unwritable output
130 output that exists
131 Ctrl-C
132 two runs, one path
133 closed standard output
134 misspelt options and names
135 locale, narrow terminal, no colour
136 markup in a report
137 web app: address
138 web app: forged requests
139 web app: two tabs
"""
TITLES = {
    int(number): title
    for number, _, title in (line.partition(" ") for line in _WORDS.strip().splitlines())
}
