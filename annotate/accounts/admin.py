from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from annotate.accounts.models import ApiToken, User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "email", "display_name", "pseudonym", "is_staff", "is_active", "last_login")
    search_fields = ("username", "email", "display_name", "pseudonym")
    readonly_fields = ("pseudonym", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("email", "display_name", "pseudonym", "timezone", "preferences")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "email", "password1", "password2"),
            },
        ),
    )


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """To see and revoke; a token is made on its owner's profile page, where it is shown once."""

    list_display = ("name", "user", "token_key", "created", "expiry")
    search_fields = ("name", "user__username", "user__email")
    readonly_fields = ("name", "user", "token_key", "created", "expiry")
    exclude = ("digest",)

    def has_add_permission(self, request) -> bool:
        return False
