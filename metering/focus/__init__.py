"""FOCUS 1.2 (FinOps Open Cost and Usage Specification): billing data as other tools read it, and a check of the rules.

`columns` and `validation` are PURE; `records` turns a bill into rows; `export` reads the bills of a month.

What is exported: the bill of a month, one row for each step of each line's arithmetic, and where a line has one price, for each
combination of GPU model, storage class and project behind it. An issued invoice is exported from its frozen lines with its number,
its tax and, in the month in which they were issued, its credit notes; a month without an invoice as it stands, before tax.
"""

VERSION = "1.2"
