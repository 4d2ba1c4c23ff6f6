"""What a user reads when something is wrong: checked for what it names and advises, not for how it is put."""

import pytest


def says(error: object, *words: str) -> None:
    """Check that a message is one line that names each of `words`: the file or key, and what to do.

    `error` is what `run_stage` returned, a printed text, an exception, or what `pytest.raises` caught.
    """
    text = str(error.value if isinstance(error, pytest.ExceptionInfo) else error).strip()
    assert text, f"nothing was said of {', '.join(words)}"
    assert len(text.splitlines()) == 1, text
    missing = [word for word in words if word not in text]
    assert not missing, f"{', '.join(missing)} missing in: {text}"
