"""Mathematics of answers: the reader, from text to a typed tree, and the comparer of two trees.

The reader: `text` (one spelling), `exact_numbers` and `units` (plain numbers), `tokens`, `cursor`,
`expression`, `commands`, `numerals`, `plain_answers` and `values` (the typed tree of `tree`).
The comparer: `typed` by kind, `unordered`, `equations`, `real_sets`; two expressions by `identity`,
which asks `rationals`, `modular` and `numeric`; what is left goes to `symbolic`.
"""
