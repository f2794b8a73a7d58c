"""Settings, all of them from the environment (see .env.example).

The embedded default (SQLite, jobs through the file system) and production (PostgreSQL, Redis) differ only
by DATABASE_URL and REDIS_URL; nothing in the domain asks which it is.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from annotate.api.schema import ENUM_NAMES
from annotate.environment import BASE_DIR, data_dir, load_environment, make_folder
from annotate.logs import configure_logging
from annotate.postgres import GONE
from annotate.static_headers import add_static_headers

env = load_environment()
DATA_DIR = data_dir()

# --- Core -------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. `./dev run` and `python manage.py migrate` write one into DATA_DIR/.env; "
            "or set it in the environment to a long random text."
        )
    SECRET_KEY = "debug-only-" + "x" * 50
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
PORT = env.int("PORT", default=8000)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where links in e-mail and in the terminal point to.
SITE_URL = (env.str("SITE_URL", default="") or f"http://127.0.0.1:{PORT}").rstrip("/")

ROOT_URLCONF = "annotate.urls"
ASGI_APPLICATION = "annotate.asgi.application"
WSGI_APPLICATION = "annotate.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

INSTALLED_APPS = [
    "annotate.apps.AnnotateConfig",  # before staticfiles: its `runserver` is the ASGI one
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "annotate.accounts",
    "labeling",
    "training",
]

MIDDLEWARE = [
    "annotate.middleware.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "annotate.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "annotate.languages.LanguageMiddleware",
    "annotate.middleware.SignInRequiredMiddleware",  # deny by default: every view, unless it says otherwise
    "allauth.account.middleware.AccountMiddleware",
    "annotate.middleware.LengthMiddleware",
    "annotate.middleware.DomainErrorMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "labeling.context.navigation",
            ],
        },
    }
]

# --- Database ---------------------------------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'annotate.sqlite3'}")}
DATABASE = DATABASES["default"]
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets readers and one writer work together; FULL keeps an acknowledged commit through a power cut;
    # IMMEDIATE takes the write lock at BEGIN, so that two writers queue instead of failing half-way.
    DATABASE["ENGINE"] = "annotate.sqlite"  # Django's, whose writers take turns
    DATABASE.setdefault("OPTIONS", {}).update(
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA busy_timeout=20000;"
        "PRAGMA cache_size=-16000;",
    )
else:
    DATABASE["OPTIONS"] = {**GONE, **DATABASE.get("OPTIONS", {})}
# On PostgreSQL, statements of hot paths are prepared on the server; not possible behind a pooler that lends a
# connection for one transaction.
DATABASE_PREPARE = env.bool("DATABASE_PREPARE", default=True)
# Connections stay open: annotate.threads keeps the number of threads that have one small.
DATABASE.update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)

# --- Redis, or none ---------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "annotate.cache.TolerantRedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "annotate",
            "OPTIONS": {
                "serializer": "annotate.cache.JsonSerializer",
                "socket_connect_timeout": 0.2,
                "socket_timeout": 0.5,
            },
        }
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "annotate"},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# --- Background jobs: the database owns every run, the broker only rings ----------------------------------
BROKER_DIR = DATA_DIR / "broker"
CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost/"
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"training.tasks.execute_run": {"queue": "training"}}
CELERY_BEAT_SCHEDULE = {
    # `expires`: sweeps that piled up while the worker was away are worth nothing.
    "sweep": {"task": "training.tasks.sweep", "schedule": 2.0, "options": {"expires": 2.0}},
    "retire_checkpoints": {
        "task": "training.tasks.retire_checkpoints",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "sweep_labeling": {"task": "labeling.tasks.sweep", "schedule": 2.0, "options": {"expires": 2.0}},
    "send_webhooks": {"task": "labeling.tasks.send_webhooks", "schedule": 3.0, "options": {"expires": 3.0}},
    "send_mail": {"task": "labeling.tasks.send_mail", "schedule": 15.0, "options": {"expires": 15.0}},
    "sweep_quality": {"task": "labeling.tasks.sweep_quality", "schedule": 10.0, "options": {"expires": 10.0}},
}

# --- Learning: runs (training.services) ---------------------------------------------------------------------
# Folders in which base models may lie, and hub ids that may be fetched. Nothing else is ever loaded.
MODEL_DIRS = env.list("MODEL_DIRS", default=[str(DATA_DIR / "models")])
ALLOWED_HUB_MODELS = env.list("ALLOWED_HUB_MODELS", default=[])
# So many hours after a run's end superfluous checkpoints keep their files (services/retention.py); below 0:
# for ever.
CHECKPOINT_GRACE_HOURS = env.float("CHECKPOINT_GRACE_HOURS", default=24.0)
# A worker that says nothing for so long has lost its run to another.
TRAINING_LEASE_SECONDS = env.float("TRAINING_LEASE_SECONDS", default=20.0)
# What a training process gets to write a last checkpoint when it is asked to stop.
TRAINING_GRACE_SECONDS = env.float("TRAINING_GRACE_SECONDS", default=30.0)

# --- People -----------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "annotate.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # people come by invitation, which already proves the address
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = SITE_URL.partition(":")[0]
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_RATE_LIMITS = {
    "login": env.str("LOGIN_RATE", default="60/m/ip"),
    "login_failed": env.str("LOGIN_FAILED_RATE", default="20/m/ip,5/300s/key"),
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
SESSION_COOKIE_AGE = 14 * 24 * 3600

KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 - a model's name
# Our model replaces knox's; its migrations would still make an orphan table that points at our users.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Token", "TOKEN_TTL": timedelta(days=365)}

# --- API --------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotate.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "annotate.api.parsers.BoundedJSONParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_PAGINATION_CLASS": "annotate.pagination.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": [
        "annotate.api.filters.FieldFilters",
        "annotate.api.filters.BoundedSearch",
        "annotate.api.filters.KnownOrders",
    ],
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.UserRateThrottle",
        "rest_framework.throttling.AnonRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "user": env.str("API_RATE_USER", default="3000/min"),
        "anon": env.str("API_RATE_ANON", default="60/min"),
    },
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "annotate.errors.api_exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "annotate API",
    "DESCRIPTION": "Collect human judgment, freeze datasets, train models, and go round again. "
    "Authenticate with `Authorization: Token …`; make tokens on your profile page.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": ENUM_NAMES
    | {"MailWhenEnum": ["immediately", "daily", "never"], "NoYesEnum": ["no", "yes"]},
    "SCHEMA_PATH_PREFIX": "/api/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "annotate.api.schema.add_error_responses",
    ],
}

# --- Files ------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "files"
# Hashed names once `collectstatic` (part of `up`) has run; plain files found in place before that.
COLLECTED = not DEBUG and (STATIC_ROOT / "staticfiles.json").exists()
make_folder(STATIC_ROOT)
SERVESTATIC_USE_FINDERS = not COLLECTED
SERVESTATIC_AUTOREFRESH = DEBUG
SERVESTATIC_ADD_HEADERS_FUNCTION = add_static_headers
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"
        if COLLECTED or env.bool("COLLECT_STATIC", default=False)
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
FILE_UPLOAD_PERMISSIONS = 0o600
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=1_000_000_000)  # of one uploaded file, as it comes
# Of all files that one person has waiting to be imported; of all files of a project.
IMPORT_WAITING_MAX_BYTES = env.int("IMPORT_WAITING_MAX_BYTES", default=10_000_000_000)
IMPORT_PROJECT_MAX_BYTES = env.int("IMPORT_PROJECT_MAX_BYTES", default=100_000_000_000)

# --- E-mail -----------------------------------------------------------------------------------------------
if env.str("EMAIL_URL", default=""):
    vars().update(env.email_url("EMAIL_URL"))
elif DEBUG:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "outbox"
EMAIL_TIMEOUT = 10  # seconds: a mail server that hangs holds up nobody for long
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="annotate@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Webhooks: where they may go (annotate.outbound) -------------------------------------------------------
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)
WEBHOOK_ALLOWED_NETWORKS = [
    ip_network(each, strict=False) for each in env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])
]

# --- Security ---------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1  # the address that the proxy saw, for the limits of sign-in
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "annotate.errors.csrf_failure"

# --- Language, time, logs ---------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each by its own name; a new one: docs/translating.md
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = ["annotate.date_formats"]  # days and times alike on every page
LOCALE_PATHS = [BASE_DIR / "locale"]
LOGGING_CONFIG = None
configure_logging(
    style=env.str("LOG_FORMAT", default="console" if DEBUG else "auto"),
    level=env.str("LOG_LEVEL", default="INFO"),
)
SILENCED_SYSTEM_CHECKS: list[str] = []
