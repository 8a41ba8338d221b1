"""People, who are identified by their e-mail address."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower


class UserManager(BaseUserManager["User"]):
    """Creates users, who are identified by their e-mail address."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user, who without a password can't log in until it is reset."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a member of staff with every permission."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """A customer or a member of staff."""

    username = None  # type: ignore[assignment]  # the e-mail address is the name
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField("e-mail address", unique=True)
    time_zone = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="Such as Europe/Berlin. Empty: as the browser says.",
    )
    language = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="Such as de. Empty: pages as the browser says, mails in English.",
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta:
        permissions = [
            ("see_addresses", "See e-mail and network addresses in full"),
            ("change_address", "Give customers another e-mail address, with a second person"),
        ]
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_is_unique_in_any_case"),
        ]
        # The desk limits its list to dates.
        indexes = [models.Index(fields=["date_joined"], name="people_by_time")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """Return "": users have no name, and Django's own answer would be "None None"."""
        return ""

    def get_short_name(self) -> str:
        return self.email
