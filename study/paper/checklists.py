import pandas as pd


def tripod(study, evaluation, places):
    return pd.DataFrame({"item": ["1"], "status": ["AUTHOR MUST FILL"], "where": [""]})


claim = tripod


def to_markdown(frame, title):
    return f"### {title}\n\n| item | status | where |\n| --- | --- | --- |\n| 1 | a | b |"
