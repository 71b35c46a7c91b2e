"""Settings of the webhook."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from service.host import credentials, secret_files
from service.settings.kinds import HttpUrl, NamedPath
from service.settings.secret_file import read_secret
from service.settings.variables import ENV_PREFIX


class Webhook(BaseModel, defer_build=True):
    """Who is told of drift alarms."""

    webhook_url: HttpUrl | None = Field(
        None, description="URL that receives a message when a drift alarm begins or ends."
    )
    webhook_secret: credentials.WebhookSecret | None = Field(
        None,
        description="Secret that signs webhook messages: `whsec_` and base64, or any text. Required by webhook_url.",
    )
    webhook_secret_file: NamedPath | None = Field(None, description="File with the webhook secret.")

    @model_validator(mode="after")
    def _require_webhook_secret(self) -> Self:
        if self.webhook_url is not None and self.webhook_secret is None and self.webhook_secret_file is None:
            raise ValueError(f"webhook_url requires a secret: set {ENV_PREFIX}WEBHOOK_SECRET_FILE")
        return self

    def read_webhook_key(self) -> bytes:
        """Returns the key that signs webhook messages; empty if there is no webhook.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.webhook_url is None:
            return b""
        if self.webhook_secret is not None:
            return credentials.signing_key(self.webhook_secret.get_secret_value())
        return read_secret("webhook_secret_file", self.webhook_secret_file, secret_files.read_signing_key) or b""
