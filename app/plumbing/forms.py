"""Forms of browsers, read and refused as the framework does it: for routes without its solving."""

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from app.plumbing.web import UNPARSED, FrameworkRefusal

__all__ = ["form_of"]

_Form = TypeVar("_Form", bound=BaseModel)


async def form_of(request: Request, kind: type[_Form]) -> _Form:
    """The fields of a form; of a name that stands twice the last one.

    Raises:
        RequestValidationError: a field is not of its kind.
        FrameworkRefusal: the body cannot be read, or is too large or too slow.
    """
    try:
        sent = await request.form()
    except FrameworkRefusal:
        raise
    except Exception as error:
        raise FrameworkRefusal(400, UNPARSED) from error
    try:
        return kind.model_validate({name: value for name, value in sent.items() if not _is_empty(value)})
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from None
    finally:
        await sent.close()


def _is_empty(value: UploadFile | str) -> bool:
    """Whether a field was left as it was; instead of no file, browsers send an empty one without a name."""
    return not value if isinstance(value, str) else (value.filename, value.size) == ("", 0)
