"""Views of money for those who answer for it: cost explorer, revenue, what was invoiced, what is unsettled, the outlook, the monthly report."""
