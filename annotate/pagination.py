"""The page envelope of the API: count, next, previous, results."""

from rest_framework.pagination import PageNumberPagination

from annotate.api.filters import parameters_of, refuse_unknown


class Pages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def paginate_queryset(self, queryset, request, view=None):
        if view is not None:
            refuse_unknown(request, parameters_of(view, queryset))
        return super().paginate_queryset(queryset, request, view=view)
