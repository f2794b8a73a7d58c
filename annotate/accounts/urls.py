from django.urls import path

from annotate.accounts import views

urlpatterns = [
    path("profile/mail/", views.mail, name="profile_mail"),
    path("profile/", views.profile, name="profile"),
    path("profile/tokens/", views.create_token, name="profile_create_token"),
    path("profile/tokens/<str:digest>/revoke/", views.revoke_token, name="profile_revoke_token"),
    path("setup/", views.setup, name="setup"),
]
