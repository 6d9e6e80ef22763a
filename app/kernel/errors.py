"""A refusal is a sentence written once: the docstring of its class.

    class AmountTooLow(Refusal):
        '''The amount must be at least {minimum}.'''

        param = "amount"

`AmountTooLow(minimum=...)` then has the code `amount_too_low`, the sentence filled in, and its fields as
data. Which HTTP status it becomes stands in one table at the edge (`app.plumbing.web`).
"""

import inspect
import re
import string
from typing import ClassVar

from typing_extensions import override

__all__ = ["Refusal"]

# `HTTPAnswerMissing` is `http_answer_missing`: a word starts at a capital after a small letter or digit, or
# at the last capital of a run.
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Refusal(Exception):
    """Base of every expected "no"; never raised itself.

    Class attributes:
        code: the class name in snake_case, the stable name for machines.
        param: the name of the request's field that is wrong, where one field is.

    Instance attributes:
        fields: what was handed to the constructor; more than the sentence shows is allowed.
        sentence: the first paragraph of the class's docstring, filled with the fields.
    """

    code: ClassVar[str] = "refusal"
    param: str | None = None
    _template: ClassVar[str] = ""
    _wanted: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @override
    def __init_subclass__(cls, **kwargs: object) -> None:
        """Take the sentence from the docstring, so that a class without one cannot be born."""
        super().__init_subclass__(**kwargs)
        first = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]
        if not first.strip():
            raise TypeError(f"{cls.__name__} needs a docstring: it is the sentence that people read")
        cls.code = _WORD_START.sub("_", cls.__name__).lower()
        cls._template = " ".join(first.split())
        names = (name for _, name, _, _ in string.Formatter().parse(cls._template) if name is not None)
        cls._wanted = frozenset(re.split(r"[.\[]", name, maxsplit=1)[0] for name in names)

    def __init__(self, **fields: object) -> None:
        """Refuse, with the facts the sentence needs.

        Raises:
            TypeError: the sentence names a field that was not handed in; a fault of the code, not of the
                caller.
        """
        if type(self) is Refusal:
            raise TypeError("a refusal needs a class of its own")
        missing = sorted(self._wanted - fields.keys())
        if missing:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        self.fields: dict[str, object] = fields
        self.sentence: str = self._template.format(**fields)
        super().__init__(self.sentence)
