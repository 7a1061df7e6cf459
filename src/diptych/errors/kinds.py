"""The base of all errors, the four kinds, and what is wrong with the wiring."""


class DiptychError(Exception):
    """Base of all errors that Diptych raises on purpose."""


class Rejected(DiptychError):
    """The request is refused and nothing was written. Subclass it for the rules of your domain."""


class TryAgain(DiptychError):
    """The request was sound, and may succeed if it is made again."""


class ConfigurationError(DiptychError):
    """The application is put together wrongly; the message says what to write."""


class NoHandler(ConfigurationError):
    """Nothing is registered for `message`; `registered` lists what is."""

    def __init__(self, message: type, *, registered: tuple[type, ...]) -> None:
        names = ", ".join(sorted(known.__qualname__ for known in registered)) or "nothing"
        super().__init__(f"nothing handles {message.__qualname__}; registered: {names}")
        self.message, self.registered = message, registered


class StoreError(DiptychError):
    """A database cannot do its work; the driver's own error is the cause."""
