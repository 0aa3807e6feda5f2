"""The figures of a report: functions that take frames and return a figure and the numbers behind it."""
