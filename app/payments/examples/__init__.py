"""What the API's documentation shows of the calls that merchants' servers make."""

from app.payments.examples.document import described

__all__ = ["described"]
