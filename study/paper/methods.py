def methods(study, evaluation, n_replicates=2000):
    return ["Stub [@delong1988]."]


def to_markdown(paragraphs, numbering):
    return list(paragraphs)


def to_latex(paragraphs):
    return "\n\n".join(paragraphs)
