"""Tables as files: CSV and XLSX written safely, long ones in the background, and files that people made read without guessing."""
