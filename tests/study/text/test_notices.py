"""Text in files that spreadsheets open."""

import pandas as pd

from study.text.notices import csv, printable


def test_text_that_a_spreadsheet_would_compute_begins_with_an_apostrophe():
    frame = pd.DataFrame(
        {"image": ["=1+1", "@x", "+a", "-b", "ok", None, "'q"], "difference": [-1.5, 0, 1, 2, 3, 4, 5]}
    )
    assert csv(frame, "") == ("image,difference\n'=1+1,-1.5\n'@x,0.0\n'+a,1.0\n'-b,2.0\nok,3.0\n,4.0\n'q,5.0\n")


def test_control_characters_become_blanks():
    assert printable("bad\x0bchar\nÄ 乳") == "bad char Ä 乳"
