"""WebSocket addresses of this room."""

from django.urls import path

from training.consumers import RunConsumer

websocket_urlpatterns = [
    path("ws/projects/<slug:slug>/runs/<int:number>/", RunConsumer.as_asgi(), name="run_socket"),
]
