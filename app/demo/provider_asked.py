"""What merchants may ask of the sandbox provider: the bodies of its API, read strictly."""

from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from app.demo import wire
from app.demo.provider_scripts import Kind
from app.kernel.masking import CardNumber, holds_card

__all__ = ["ACCOUNT_FIELDS", "Asked", "CardAsked", "DepositAsked", "PayoutAsked", "RefundAsked"]


def _web_address(text: str) -> str:
    wire.origin_of(text)
    return text


def _no_card(text: str) -> str:
    if holds_card(text):
        raise ValueError("a card number does not belong here")
    return text


def _card(text: str) -> str:
    CardNumber(text)
    return text


WebAddress = Annotated[str, Field(max_length=2048, pattern=r"^[!-~]+$"), AfterValidator(_web_address)]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$"), AfterValidator(_no_card)]
Text = Annotated[str, Field(max_length=256), AfterValidator(_no_card)]
Method = Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
# Where a payout by each method goes; of a card only a token, and of anything else a token will do as well.
ACCOUNT_FIELDS = {"bank_transfer": "iban", "mobile_operator": "phone", "e_wallet": "wallet"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Asked(_Body):
    """What every order has. `amount_minor` in minor units; the addresses are http or https."""

    kind: ClassVar[Kind]

    reference: Reference
    amount_minor: Annotated[int, Field(ge=1, le=10**15)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    notice_url: WebAddress

    @property
    @abstractmethod
    def words(self) -> str:
        """The text at whose start a script may stand."""


class DepositAsked(Asked):
    """The body of `POST /v1/deposits`."""

    kind: ClassVar[Kind] = Kind.DEPOSIT

    description: Text = ""
    return_url: WebAddress
    player: Text | None = None
    method: Method | None = None

    @property
    @override
    def words(self) -> str:
        """The description."""
        return self.description


class PayoutAsked(Asked):
    """The body of `POST /v1/payouts`."""

    kind: ClassVar[Kind] = Kind.PAYOUT

    description: Text = ""
    player: Text | None = None
    method: Method
    destination: Annotated[dict[Annotated[str, Field(max_length=32)], Text], Field(max_length=8)]

    @property
    @override
    def words(self) -> str:
        """The description."""
        return self.description

    @model_validator(mode="after")
    def _somewhere(self) -> "PayoutAsked":
        if "token" not in self.destination and ACCOUNT_FIELDS.get(self.method, "") not in self.destination:
            raise ValueError(f"a payout by {self.method} needs a token or an account as its destination")
        return self


class RefundAsked(Asked):
    """The body of `POST /v1/refunds`."""

    kind: ClassVar[Kind] = Kind.REFUND

    original_reference: Reference
    reason: Text = ""

    @property
    @override
    def words(self) -> str:
        """The reason."""
        return self.reason


class CardAsked(_Body):
    """The body of `POST /v1/cards`."""

    number: Annotated[str, Field(max_length=64), AfterValidator(_card)]
