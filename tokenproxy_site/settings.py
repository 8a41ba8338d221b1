"""Settings of the site. Every value that differs between deployments comes from the environment.

The tables in docs/operations.md list them; a test fails when one is missing there.
"""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF

from billing.wallet.address import AddressPool, RedisAddress, beside
from common.postgres import PatientConnection
from common.waits import PAGE_REDIS_S
from tokenproxy_site.env import (
    env,
    get_bool,
    get_choice,
    get_fernet_keys,
    get_int,
    get_list,
    get_networks,
    get_redis_url,
    get_shard_map,
    get_text,
    get_url,
    is_owners_command,
    read_run_file,
)
from tokenproxy_site.logs import configure_logging

# Makes `ModelAdmin[Pack]` and the like valid at run time, as they are for the type checker.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
read_run_file(VAR_DIR / "run.env")

# --- The site -----------------------------------------------------------------------------

DEBUG = get_bool("DEBUG", default=False)
# The newest signs; what an older one signed is still good.
SECRET_KEY, *SECRET_KEY_FALLBACKS = get_list("SECRET_KEY")
SITE_URL = get_url("SITE_URL", schemes=("https", "http"))
SITE_NAME = get_text("SITE_NAME", "TokenProxy")
SUPPORT_EMAIL = get_text("SUPPORT_EMAIL", "support@example.com")
ALLOWED_HOSTS = get_list("ALLOWED_HOSTS", urlsplit(SITE_URL).hostname or "localhost")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
IS_HTTPS = SITE_URL.startswith("https://")
# Requests arrive over plain HTTP from the proxy that ends TLS, which sets this header. It reaches
# a page only from one of TRUSTED_PROXIES.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
# Browsers take a cookie of such a name from this host alone, by https: no neighbouring subdomain
# can plant one.
COOKIE_PREFIX = "__Host-" if IS_HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
# What a browser is recognised by when its owner signs in again.
DEVICE_COOKIE_NAME = f"{COOKIE_PREFIX}device"
# Not in a cookie of their own.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "tokenproxy_site.apps.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "accounts",
    "billing",
    "proxy",
]

MIDDLEWARE = [
    "tokenproxy_site.probes.ProbeMiddleware",
    "tokenproxy_site.page_lines.PageLineMiddleware",
    "tokenproxy_site.nul.NulMiddleware",
    "tokenproxy_site.compression.CompressionMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tokenproxy_site.languages.LanguageMiddleware",
    "accounts.teams.middleware.TeamMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tokenproxy_site.staff_sessions.StaffSessionMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "tokenproxy_site.urls"
ASGI_APPLICATION = "tokenproxy_site.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tokenproxy_site.context.site",
                "tokenproxy_site.context.team",
            ],
        },
    },
]

TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "tokenproxy_site.formats"
# What the texts in the source are written in, and what the desk and the API speak.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = f"{COOKIE_PREFIX}language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3_600
LANGUAGE_COOKIE_SECURE = IS_HTTPS

# --- Storage ------------------------------------------------------------------------------

# Serving takes few rights, and what owns the tables has them all: two roles, if both are named.
DATABASE_SERVING_URL = get_url("DATABASE_URL", schemes=("postgres", "postgresql"))
_owner_url = get_url("DATABASE_OWNER_URL", "", schemes=("postgres", "postgresql"))
_database = env.db_url_config(
    _owner_url if _owner_url and is_owners_command(sys.argv) else DATABASE_SERVING_URL
)
# Nobody waits for ever, neither for another's lock nor for an answer. deploy/run gives each process
# its own limits.
_lock_timeout_s = get_int("DATABASE_LOCK_TIMEOUT_S", 20)
_statement_timeout_s = get_int("DATABASE_STATEMENT_TIMEOUT_S", 300)
_options = f"-c lock_timeout={_lock_timeout_s}s -c statement_timeout={_statement_timeout_s}s"
if _given_options := _database.get("OPTIONS", {}).get("options"):
    _options += f" {_given_options}"
DATABASES = {
    "default": {
        **_database,
        # A connection is checked when it leaves the pool: after a restart of PostgreSQL every
        # pooled one is dead, and would fail a request or a sweep.
        "CONN_HEALTH_CHECKS": True,
        # Outside a transaction a cursor on the server lives in the session, and behind a pooler
        # such as PgBouncer the next statement may reach another one.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        # Every request runs in its own thread, so connections are pooled, not kept by thread.
        "OPTIONS": {
            # Seconds; the pool tries again.
            "connect_timeout": 5,
            # What follows the URL's question mark, such as sslmode.
            **_database.get("OPTIONS", {}),
            "options": _options,
            "pool": {
                "min_size": 1,
                "max_size": get_int("DATABASE_POOL_SIZE", 10, least=2),
                # Seconds until a page, or a request of the API, is told that there is none.
                "timeout": 2,
                "connection_class": PatientConnection,
            },
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = get_redis_url("REDIS_URL")
# The URL of each of the sixteen shards' server.
REDIS_SHARDS = get_shard_map("REDIS_SHARDS", default=REDIS_URL)
# What keeps Redis' data when its server dies: its append-only file, or whoever offers it.
REDIS_DURABILITY = get_choice("REDIS_DURABILITY", "aof", ("aof", "managed"))
CELERY_BROKER_URL = get_redis_url("CELERY_BROKER_URL", beside(REDIS_URL, 1))
# The cache holds counts of attempts and sightings of workers: nothing that must not be lost.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CELERY_BROKER_URL,
        "OPTIONS": {
            "pool_class": AddressPool,
            "socket_timeout": PAGE_REDIS_S,
            "socket_connect_timeout": PAGE_REDIS_S,
        },
        "KEY_PREFIX": "cache",
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
# With a manifest, `collectstatic` must have run; without, files are served from the source tree.
STATIC_MANIFEST = get_bool("STATIC_MANIFEST", default=True)
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST
WHITENOISE_AUTOREFRESH = not STATIC_MANIFEST
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- People -------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.password_checks.AddressChecker"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
# One address for each person; a new one replaces it once the new one is confirmed.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_FORMS = {
    "add_email": "accounts.forms.ChangeAddressForm",
    "reset_password": "billing.views.account_forms.ResetByAddressForm",
    "reset_password_from_key": "billing.views.account_forms.ChoosePasswordForm",
    "signup": "accounts.forms.SignUpForm",
}
# Seconds that a link to choose a new password works.
PASSWORD_RESET_TIMEOUT = 3_600
# docs/decisions/0011-guesses-are-counted-by-account-and-network.md says why these.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    # By network; by account and network, or account and known device.
    "login_failed": "20/m/ip,5/5m/key",
    # By account, from networks and devices that it does not know.
    "login_failed_elsewhere": "100/h/key",
    # Signing up tells who has an account.
    "signup": "10/m/ip,60/h/ip,200/d/ip",
    "reset_password": "20/m/ip,3/m/key,10/h/key",
    # Each is a mail to an address that may be somebody else's.
    "status_subscribe": "10/m/ip,60/h/ip,200/d/ip,3/h/key,6/d/key",
}
# Asked before something sensitive. A log-in or sign-up counts, so that no newcomer is asked.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
# A customer may pay before the address is verified; the dashboard asks until it is.
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if IS_HTTPS else "http"
ACCOUNT_SESSION_REMEMBER = True
# Sent as our own notices with our own templates; see the adapter.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_ADAPTER = "billing.views.account_adapter.AccountAdapter"

MFA_ADAPTER = "accounts.second_factors.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# A clock may be half a minute wrong.
MFA_TOTP_TOLERANCE = 1
# Otherwise nobody who has a second factor could ask for another address. What a stranger adds under
# an address that was never confirmed ends when its reader resets the password.
MFA_ALLOW_UNVERIFIED_EMAIL = True
# Browsers allow WebAuthn without https on localhost alone.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_HTTPS
IS_LOCAL = urlsplit(SITE_URL).hostname in {"localhost", "127.0.0.1", "::1"}
STAFF_SECOND_FACTOR = get_bool("STAFF_SECOND_FACTOR", default=not IS_LOCAL)
STAFF_SESSION_HOURS = get_int("STAFF_SESSION_HOURS", 12, least=1, most=336)

EMAIL_URL = get_text("EMAIL_URL", "consolemail://")
vars().update(env.email_url_config(EMAIL_URL))
# Seconds. A mail server that hangs must not block a worker's thread.
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = get_text("DEFAULT_FROM_EMAIL", f"{SITE_NAME} <{SUPPORT_EMAIL}>")

# --- The browser's rules ------------------------------------------------------------------

STRIPE_API_BASE = get_url("STRIPE_API_BASE", "", schemes=("https", "http"))
# Browsers apply form-action to redirects too, and an order ends on Stripe's own page.
STRIPE_CHECKOUT_ORIGINS = get_list(
    "STRIPE_CHECKOUT_ORIGINS", STRIPE_API_BASE or "https://checkout.stripe.com"
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "form-action": [SELF, *STRIPE_CHECKOUT_ORIGINS],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

# --- Stripe -------------------------------------------------------------------------------

STRIPE_SECRET_KEY = get_text("STRIPE_SECRET_KEY", prefixes=("sk_", "rk_"))
# One or two, so that a secret can be rotated without losing an event.
STRIPE_WEBHOOK_SECRETS = get_list("STRIPE_WEBHOOK_SECRET", prefixes=("whsec_",))
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
STRIPE_TIMEOUT_S = get_int("STRIPE_TIMEOUT_S", 20, least=1)
# Stripe allows 30 minutes to 24 hours, counted by its clock from when our call reaches it.
CHECKOUT_LIFETIME_MINUTES = get_int("CHECKOUT_LIFETIME_MINUTES", 60, least=35, most=1_435)
# Trying out stolen cards takes many orders; a customer needs a few.
UNPAID_ORDERS_PER_USER = get_int("UNPAID_ORDERS_PER_USER", 20, least=1)
UNPAID_ORDERS_PER_ADDRESS = get_int("UNPAID_ORDERS_PER_ADDRESS", 40, least=1)
# Trying out what a stolen card pays takes many paid ones.
PAID_ORDERS_PER_USER = get_int("PAID_ORDERS_PER_USER", 20, least=1)
PAID_ORDERS_PER_ADDRESS = get_int("PAID_ORDERS_PER_ADDRESS", 40, least=1)
# Stripe tells of an event for 30 days; one that is forgotten earlier would be taken for a new one.
STRIPE_EVENT_DAYS = get_int("STRIPE_EVENT_DAYS", 90, least=31)
# A mail's row is what keeps it from being sent again, for as long as its cause may come up.
NOTICE_DAYS = get_int("NOTICE_DAYS", 730, least=180)
SIGN_IN_DAYS = get_int("SIGN_IN_DAYS", 400, least=30)
# A year's chart cuts days at the reader's midnight; so does one of the year before, for a month.
ROLL_UP_DETAIL_DAYS = get_int("ROLL_UP_DETAIL_DAYS", 400, least=100)
# Files that staff ask for at the desk.
EXPORT_DAYS = get_int("EXPORT_DAYS", 7, least=1)
EXPORT_MEGABYTES = get_int("EXPORT_MEGABYTES", 200, least=1)
STRIPE_PROMOTION_CODES = get_bool("STRIPE_PROMOTION_CODES", default=False)
STRIPE_AUTOMATIC_TAX = get_bool("STRIPE_AUTOMATIC_TAX", default=False)
PRICES_INCLUDE_TAX = get_bool("PRICES_INCLUDE_TAX", default=False)
STRIPE_INVOICES = get_bool("STRIPE_INVOICES", default=False)
STRIPE_RECEIPT_MAIL = get_bool("STRIPE_RECEIPT_MAIL", default=False)
# Lets customers have their balance topped up from a saved card. Never with automatic tax.
AUTO_TOP_UP = get_bool("AUTO_TOP_UP", default=True)
# The days in which customers may return the unused part of an order themselves. 0: never.
CUSTOMER_REFUND_DAYS = get_int("CUSTOMER_REFUND_DAYS", 0)
# How many of these a customer gets within 30 days; each costs Stripe's fee.
CUSTOMER_REFUNDS_PER_MONTH = get_int("CUSTOMER_REFUNDS_PER_MONTH", 3, least=1)

# What one member of staff may give or take at the desk, in credits, by deed and within 24 hours.
# Beyond it a second person approves.
DESK_DEED_CREDITS = get_int("DESK_DEED_CREDITS", 10_000_000)
DESK_DAY_CREDITS = get_int("DESK_DAY_CREDITS", 50_000_000)
# What nobody has approved by then can't be approved any more.
DESK_APPROVAL_DAYS = get_int("DESK_APPROVAL_DAYS", 7, least=1, most=90)

# How long staff look at a customer's dashboard before they say why again.
DESK_VISIT_MINUTES = get_int("DESK_VISIT_MINUTES", 15, least=1, most=120)

# --- Credit without a card ------------------------------------------------------------------

# For each person who verifies an address; 0 gives nothing.
WELCOME_CREDITS = get_int("WELCOME_CREDITS", 0, most=1_000_000_000)
WELCOME_CREDIT_DAYS = get_int("WELCOME_CREDIT_DAYS", 30, least=1, most=36_500)
# One network is not welcomed again for this long.
WELCOME_NETWORK_DAYS = get_int("WELCOME_NETWORK_DAYS", 30, least=1, most=36_500)

# How many addresses of one mail domain are welcomed within those days. Not at these, where anybody
# can have an address; the network counts there.
WELCOME_PER_DOMAIN = get_int("WELCOME_PER_DOMAIN", 5, least=1)
WELCOME_FREE_MAIL = get_list(
    "WELCOME_FREE_MAIL",
    "gmail.com,outlook.com,hotmail.com,live.com,yahoo.com,icloud.com,me.com,proton.me,aol.com,"
    "gmx.de,gmx.net,web.de,mail.ru,yandex.ru,qq.com,163.com,126.com,foxmail.com,naver.com",
)

# --- Wallets and the API ------------------------------------------------------------------

# Keys that encrypt the upstream providers' keys, newest first; older ones still decrypt.
PROVIDER_KEYS_SECRETS = get_fernet_keys("PROVIDER_KEYS_SECRET")
# Each web process writes what it starts and ends here; the worker must see the same directory.
JOURNAL_DIR = Path(get_text("JOURNAL_DIR", str(VAR_DIR / "journal")))
# A hold that is not extended for this long is settled at its last progress.
HOLD_LEASE_S = get_int("HOLD_LEASE_S", 60, least=5)
# If more decided debits than this wait to be booked, or for longer, nothing new is admitted.
WALLET_BACKLOG_EVENTS = get_int("WALLET_BACKLOG_EVENTS", 100_000, least=1)
WALLET_BACKLOG_AGE_S = get_int("WALLET_BACKLOG_AGE_S", 120, least=5)
# Staff are told when requests of one API key within an hour cost so much more than was charged.
# Who is mailed about urgent findings; nobody if empty.
INBOX_MAIL_TO = get_list("INBOX_MAIL_TO", "")
# The program that is told about each of them, and what it knows us by.
INBOX_WEBHOOK_URL = get_url("INBOX_WEBHOOK_URL", "", schemes=("https", "http"))
INBOX_WEBHOOK_SECRET = get_text("INBOX_WEBHOOK_SECRET", None if INBOX_WEBHOOK_URL else "")
USAGE_TOLERANCE_PERCENT = get_int("USAGE_TOLERANCE_PERCENT", 2, least=0, most=100)
WRITE_OFF_ALARM_CREDITS = get_int("WRITE_OFF_ALARM_CREDITS", 10_000, least=1)
# Limits of an API key without its own, and of all keys of a wallet without its own.
DEFAULT_REQUESTS_PER_MINUTE = get_int("DEFAULT_REQUESTS_PER_MINUTE", 600, least=1)
DEFAULT_TOKENS_PER_MINUTE = get_int("DEFAULT_TOKENS_PER_MINUTE", 10_000_000, least=1)
DEFAULT_CONCURRENT_REQUESTS = get_int("DEFAULT_CONCURRENT_REQUESTS", 1_000, least=1)
WALLET_REQUESTS_PER_MINUTE = get_int("WALLET_REQUESTS_PER_MINUTE", 10_000, least=1)
WALLET_TOKENS_PER_MINUTE = get_int("WALLET_TOKENS_PER_MINUTE", 50_000_000, least=1)
WALLET_CONCURRENT_REQUESTS = get_int("WALLET_CONCURRENT_REQUESTS", 5_000, least=1)
MAX_API_KEYS = get_int("MAX_API_KEYS", 50, least=1)
# The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
TRUSTED_PROXIES = get_networks("TRUSTED_PROXIES")
# Measured on one core: to parse or write the worst body of 8 MB holds a process for about 20 ms.
MAX_BODY_BYTES = get_int("MAX_BODY_BYTES", 8 * 1024 * 1024, least=1_024)
# Connections that a web process keeps open, in all and from one address but TRUSTED_PROXIES.
MAX_CONNECTIONS = get_int("MAX_CONNECTIONS", 5_000, least=1)
MAX_CONNECTIONS_PER_ADDRESS = get_int("MAX_CONNECTIONS_PER_ADDRESS", 1_000, least=1)
# A connection on which no whole header comes within this time is closed.
HEADER_TIMEOUT_S = get_int("HEADER_TIMEOUT_S", 10, least=1)
# What a web process keeps of large bodies until they are admitted or refused; of one wallet, half.
BODY_BUDGET_BYTES = get_int("BODY_BUDGET_BYTES", 64 * 1024 * 1024, least=1_024)
# A body that is not there within this time is given up.
BODY_TIMEOUT_S = get_int("BODY_TIMEOUT_S", 60, least=1)
# What a web process remembers of keys, and of models with their prices and routes.
KEY_CACHE_S = get_int("KEY_CACHE_S", 5, least=1)
# Shorter than the notice at which a price is planned or cancelled, by a reading that fails.
CATALOGUE_REFRESH_S = get_int("CATALOGUE_REFRESH_S", 5, least=1, most=30)
UPSTREAM_MAX_CONNECTIONS = get_int("UPSTREAM_MAX_CONNECTIONS", 2_000, least=1)
# vLLM and Node close a connection after 5 idle seconds; we close it before they do.
UPSTREAM_KEEP_ALIVE_S = get_int("UPSTREAM_KEEP_ALIVE_S", 4, least=1)
# Answers to requests with an Idempotency-Key are kept for this long. Each answer, those of a wallet
# and all together have a size limit, because Redis keeps them beside the balances.
IDEMPOTENCY_KEEP_S = get_int("IDEMPOTENCY_KEEP_S", 600, least=1)
IDEMPOTENCY_MAX_BYTES = get_int("IDEMPOTENCY_MAX_BYTES", 1024 * 1024, least=1)
IDEMPOTENCY_WALLET_BYTES = get_int("IDEMPOTENCY_WALLET_BYTES", 4 * 1024 * 1024, least=1)
IDEMPOTENCY_TOTAL_BYTES = get_int("IDEMPOTENCY_TOTAL_BYTES", 128 * 1024 * 1024, least=1)
# After its client left, a JSON answer is awaited for this long and kept for a retry.
CLIENT_LEFT_GRACE_S = get_int("CLIENT_LEFT_GRACE_S", 15)
# The same for any answer of a provider that bills it regardless.
CANCEL_DRAIN_S = get_int("CANCEL_DRAIN_S", 60)
# The same for an answer of a model that thinks first, of which its client had seen nothing.
REASONING_DRAIN_S = get_int("REASONING_DRAIN_S", 60)
# A stream that is silent for this long gets a comment, so that no proxy takes it for dead.
KEEP_ALIVE_S = get_int("KEEP_ALIVE_S", 15, least=1)
# A client that reads no byte for this long is given up.
SLOW_READER_S = get_int("SLOW_READER_S", 60, least=1)
# Requests that run when a web process is told to stop may end within this time.
DRAIN_TIMEOUT_S = get_int("DRAIN_TIMEOUT_S", 30)
# Loopback upstreams over plain HTTP are for the sandbox; a deployment leaves this off.
ALLOW_LOOPBACK_PROVIDERS = get_bool("ALLOW_LOOPBACK_PROVIDERS", default=False)
# Customers choose where their webhooks lead, so this is for a demonstration on one's own machine.
ALLOW_LOOPBACK_WEBHOOKS = get_bool("ALLOW_LOOPBACK_WEBHOOKS", default=False)
# A client that sends this as a bearer token may read /metrics; if unset, there is no such page.
METRICS_TOKEN = get_text("METRICS_TOKEN", "")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "proxy.api.error_table.answer",
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": f"{SITE_NAME} API",
    "DESCRIPTION": "An OpenAI-compatible API, paid from a prepaid balance.",
    "VERSION": "1",
    "SERVERS": [{"url": SITE_URL}],
    "SERVE_INCLUDE_SCHEMA": False,
    "OAS_VERSION": "3.1.0",
}

# --- The worker's sweeps --------------------------------------------------------------------

CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
# Seconds; see tokenproxy_site/sweep_task.py. What may take longer has a limit of its own.
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Without its broker a worker goes on with the sweeps of its clock, for as long as it takes.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# These take precedence over CELERY_BROKER_URL, which Celery would read itself, from the environment
# first: it would not verify a broker's certificate unless an option says so.
_broker = RedisAddress.parse(CELERY_BROKER_URL)
CELERY_BROKER_READ_URL = CELERY_BROKER_WRITE_URL = _broker.broker_url()
CELERY_BROKER_USE_SSL = False if _broker.tls is None else dict(_broker.tls)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A broker that is away or hangs must not keep a web request waiting: Stripe's webhook nudges a
# task and has ten seconds. A broken connection times out twice, and a worker asks every second.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 3,
    # A message says that a sweep is due, and the next one says so again: what a worker took and had
    # not begun when it died is not kept. Keeping it takes two transactions of Redis a message.
    "ack_emulation": False,
    **_broker.broker_options(),
}


# The sweeps that each worker runs by its own clocks, every so many seconds and at its start in this
# order; see tokenproxy_site/sweep_clock.py. Each clock has threads of its own.
CLOCK_SWEEPS: dict[str, dict[str, float]] = {
    # These wait for nothing but PostgreSQL, Redis and the journals.
    "books": {
        "billing.recover_wallets": 1,
        "billing.drain_events": 1,
        "billing.push_wallets": 1,
        "billing.load_wallets": 1,
        "billing.decide_debits": 2,
        "billing.adopt_journals": 2,
        "billing.write_incident_mails": 3,
        "billing.reap_holds": 5,
        "billing.pay_debts": 5,
        "billing.roll_up_usage": 5,
        "tokenproxy_site.take_snapshot": 10,
        "billing.find_low_balances": 30,
        # What it counts is kept for five minutes.
        "tokenproxy_site.count_service": 30,
        "billing.file_stuck_holds": 60,
        "billing.expire_lots": 60,
    },
    # These wait for Stripe, mail servers and others' programs, or write for an hour.
    "outside": {
        "billing.process_stripe_events": 2,
        "billing.post_webhooks": 2,
        "billing.send_notices": 3,
        "billing.advance_refunds": 5,
        "billing.top_up_wallets": 10,
        "billing.post_findings": 10,
        "billing.write_exports": 10,
        "billing.sweep_open_orders": 30,
        "billing.follow_addresses": 60,
        "billing.mail_findings": 60,
    },
}


def _sweep(task: str, *, every_s: float) -> dict[str, Any]:
    # A sweep that no worker took before the next one is due is dropped: the next one does its work.
    return {"task": task, "schedule": every_s, "options": {"expires": every_s}}


# The slower sweeps, which beat has one of the workers run.
CELERY_BEAT_SCHEDULE = {
    # A provider has none, until staff choose how many an hour.
    "probe models": _sweep("tokenproxy_site.probe_models", every_s=60),
    "measure the business": _sweep("billing.measure_business", every_s=120),
    "make sums of days": _sweep("billing.make_days", every_s=300),
    "find spend spikes": _sweep("billing.find_spend_spikes", every_s=300),
    "fetch missed events": _sweep("billing.fetch_missed_events", every_s=600),
    "find expiring lots": _sweep("billing.find_expiring_lots", every_s=600),
    "sum up months": _sweep("billing.sum_up_months", every_s=900),
    "ask balances": _sweep("tokenproxy_site.ask_balances", every_s=900),
    "delete old rows": _sweep("billing.delete_old", every_s=3_600),
    "audit money": _sweep("billing.audit_money", every_s=3_600),
    # Each is done once a day, from a time that its task names; this only asks whether it is due.
    "raise margin alarms": _sweep("billing.raise_margin_alarms", every_s=300),
    "reconcile with Stripe": _sweep("billing.reconcile_stripe", every_s=300),
    "fetch usage": _sweep("tokenproxy_site.fetch_usage", every_s=300),
}

# --- Logs ---------------------------------------------------------------------------------

LOG_FORMAT = get_text("LOG_FORMAT", "console" if DEBUG else "json")
LOG_LEVEL = get_text("LOG_LEVEL", "INFO")
# The collector of traces, such as http://otel-collector:4318/v1/traces; unset: none are made.
TRACES_URL = get_text("TRACES_URL", "")
TRACES_PERCENT = get_int("TRACES_PERCENT", 100, least=1, most=100)
# Providers are told the id of the trace that a call belongs to.
TRACES_TO_UPSTREAMS = get_bool("TRACES_TO_UPSTREAMS", default=False)
# Where errors are reported to, with where they happened and nothing else; unset: nowhere.
SENTRY_DSN = get_text("SENTRY_DSN", "")
LOGGING = configure_logging(LOG_FORMAT, LOG_LEVEL, reports=bool(SENTRY_DSN))
