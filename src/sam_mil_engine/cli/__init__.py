"""The command ``sam-mil-engine``: parse, call, render."""
