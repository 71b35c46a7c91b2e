"""Settings of who may use the service."""

from pydantic import BaseModel, Field

from service.host import credentials, secret_files
from service.settings.kinds import NamedPath
from service.settings.secret_file import read_secret


class Access(BaseModel, defer_build=True):
    """Tokens of those who change what is served, and keys of those who predict."""

    admin_token: credentials.Token | None = Field(
        None,
        description="Token required by requests that change what is served. Without one, such requests are open to "
        "everyone on a loopback address, and the service does not start on any other address.",
    )
    admin_token_file: NamedPath | None = Field(
        None, description="File with the admin token. Created with a random token if it does not exist."
    )
    allow_anonymous_admin: bool = Field(
        False,
        description="Start on any address without an admin token. Everyone who reaches the port may then change what "
        "is served.",
    )
    api_keys: credentials.Keys | None = Field(
        None, description="API keys, separated by commas. If set, predictions require one of them."
    )
    api_keys_file: NamedPath | None = Field(None, description="File with the API keys, one per line.")

    def read_admin_token(self) -> str | None:
        """Returns the admin token, and creates it if its file does not exist yet.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.admin_token is not None:
            return self.admin_token.get_secret_value()
        return read_secret("admin_token_file", self.admin_token_file, secret_files.read_or_create_token)

    def read_api_keys(self) -> list[str]:
        """Returns the API keys.

        Raises:
            ConfigurationError: the file cannot be used, or holds no key.
        """
        if self.api_keys is not None:
            return credentials.split_keys(self.api_keys)
        return read_secret("api_keys_file", self.api_keys_file, secret_files.read_keys) or []
