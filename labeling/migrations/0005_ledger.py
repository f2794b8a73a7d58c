"""The ledger of active time, rates, saved views, figures. What was submitted, reviewed and skipped before is
carried over into the ledger, each piece once."""

from collections import defaultdict
from zoneinfo import ZoneInfo

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


ROWS_AT_ONCE = 2000


def carry_over(apps, schema_editor):
    """An entry for each revision that its annotator wrote, each review and each skip of the past; then the
    days' sums. Days are those of the time zone each person has now."""
    zones = {}

    def day_and_zone(user_id, moment):
        if user_id not in zones:
            zones[user_id] = apps.get_model("accounts", "User").objects.get(pk=user_id).timezone
        return moment.astimezone(ZoneInfo(zones[user_id])).date(), zones[user_id]

    Entry = apps.get_model("labeling", "LedgerEntry")
    Day = apps.get_model("labeling", "LedgerDay")
    days = defaultdict(lambda: [0, 0, 0])
    waiting = []

    def write(user_id, moment, *, seconds, pieces, skips=0, **fields):
        day, zone = day_and_zone(user_id, moment)
        entry = Entry(
            user_id=user_id, day=day, timezone=zone, seconds=seconds, claimed_seconds=seconds, pieces=pieces,
            activity="opening", **fields,
        )
        waiting.append(entry)
        sums = days[entry.project_id, user_id, entry.batch_id, day, entry.work]
        for place, number in enumerate((seconds, pieces, skips)):
            sums[place] += number
        if len(waiting) >= ROWS_AT_ONCE:
            Entry.objects.bulk_create(waiting)
            waiting.clear()

    for name in ("Demonstration", "Ranking"):
        rows = apps.get_model("labeling", name).objects.filter(
            origin__in=["original", "resubmission"], submission__annotator__isnull=False
        )
        for row in rows.select_related("submission__task").order_by("pk").iterator(ROWS_AT_ONCE):
            submission = row.submission
            write(
                submission.annotator_id, row.created_at, seconds=row.active_seconds,
                pieces=int(row.revision == 1), project_id=submission.project_id, work=submission.kind,
                batch_id=submission.task.batch_id if submission.task else None, submission_id=submission.pk,
                source=f"submission:{submission.pk}:{row.revision}",
            )
    reviews = apps.get_model("labeling", "Review").objects.select_related("submission__task").order_by("pk")
    for row in reviews.iterator(ROWS_AT_ONCE):
        task = row.submission.task
        write(
            row.reviewer_id, row.created_at, seconds=row.active_seconds, pieces=1, work="review",
            project_id=row.submission.project_id, batch_id=task.batch_id if task else None,
            submission_id=row.submission_id, source=f"review:{row.pk}",
        )
    skips = apps.get_model("labeling", "Skip").objects.select_related("task").order_by("pk")
    for row in skips.iterator(ROWS_AT_ONCE):
        write(
            row.user_id, row.created_at, seconds=0, pieces=0, skips=1, project_id=row.task.project_id,
            work=row.task.kind, batch_id=row.task.batch_id, source=f"skip:{row.pk}",
        )
    Entry.objects.bulk_create(waiting)
    Day.objects.bulk_create(
        [
            Day(
                project_id=project, user_id=user, batch_id=batch, day=day, work=work,
                seconds=seconds, pieces=pieces, skips=skipped,
            )
            for (project, user, batch, day, work), (seconds, pieces, skipped) in days.items()
        ],
        batch_size=ROWS_AT_ONCE,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0004_review_room'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DefaultView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('page', models.CharField(max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name='Figure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('agreement', models.FloatField(null=True)),
                ('agreement_low', models.FloatField(null=True)),
                ('agreement_high', models.FloatField(null=True)),
                ('agreement_pairs', models.PositiveIntegerField(default=0)),
                ('decided', models.PositiveIntegerField(default=0)),
                ('accepted', models.PositiveIntegerField(default=0)),
                ('position', models.FloatField(null=True)),
                ('position_low', models.FloatField(null=True)),
                ('position_high', models.FloatField(null=True)),
                ('position_pairs', models.PositiveIntegerField(default=0)),
                ('computed_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='LedgerDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('work', models.CharField(max_length=24)),
                ('seconds', models.IntegerField(default=0)),
                ('pieces', models.IntegerField(default=0)),
                ('skips', models.IntegerField(default=0)),
            ],
            options={
                'ordering': ['-day', 'work'],
            },
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('work', models.CharField(max_length=24)),
                ('activity', models.CharField(choices=[('submission', 'Submitted'), ('skip', 'Skipped'), ('release', 'Given back'), ('expiry', 'Ran out of time'), ('late', 'Came too late'), ('review', 'Reviewed'), ('correction', 'Corrected'), ('opening', 'Carried over')], max_length=12)),
                ('source', models.CharField(max_length=120, unique=True)),
                ('day', models.DateField()),
                ('timezone', models.CharField(max_length=64)),
                ('seconds', models.IntegerField()),
                ('claimed_seconds', models.IntegerField()),
                ('pieces', models.SmallIntegerField(default=0)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'ledger entries',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Rate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('work', models.CharField(max_length=24)),
                ('unit', models.CharField(choices=[('hour', 'an hour'), ('piece', 'a piece')], max_length=8)),
                ('amount', models.DecimalField(decimal_places=4, max_digits=12, null=True)),
                ('currency', models.CharField(max_length=3)),
                ('valid_from', models.DateField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['work', '-valid_from', '-id'],
            },
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('page', models.CharField(max_length=40)),
                ('name', models.CharField(max_length=80)),
                ('query', models.CharField(blank=True, max_length=1000)),
                ('is_shared', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['name', 'id'],
            },
        ),
        migrations.AddField(
            model_name='draft',
            name='booked_seconds',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='draft',
            name='counted_from',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(fields=['created_at'], name='review_created'),
        ),
        migrations.AddIndex(
            model_name='submission',
            index=models.Index(fields=['project', 'annotator', 'status', 'kind'], name='submission_counts'),
        ),
        migrations.AddField(
            model_name='defaultview',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='defaultview',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='figure',
            name='batch',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='figures', to='labeling.batch'),
        ),
        migrations.AddField(
            model_name='figure',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='figures', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='figure',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='figures', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='ledgerday',
            name='batch',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.batch'),
        ),
        migrations.AddField(
            model_name='ledgerday',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ledger_days', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='ledgerday',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ledger_days', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='batch',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.batch'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='created_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ledger_entries', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='submission',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='ledger_entries', to='labeling.submission'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ledger_entries', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='rate',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='rate',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rates', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='rate',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rates', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='savedview',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='savedview',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='defaultview',
            name='view',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='defaults', to='labeling.savedview'),
        ),
        migrations.AddConstraint(
            model_name='figure',
            constraint=models.UniqueConstraint(condition=models.Q(('batch', None), ('user', None)), fields=('project',), name='figure_once_per_project'),
        ),
        migrations.AddConstraint(
            model_name='figure',
            constraint=models.UniqueConstraint(condition=models.Q(('batch__isnull', False)), fields=('batch',), name='figure_once_per_batch'),
        ),
        migrations.AddConstraint(
            model_name='figure',
            constraint=models.UniqueConstraint(condition=models.Q(('user__isnull', False)), fields=('project', 'user'), name='figure_once_per_person'),
        ),
        migrations.AddIndex(
            model_name='ledgerday',
            index=models.Index(fields=['project', 'day', 'work', 'batch', 'user', 'seconds', 'pieces'], name='ledger_days'),
        ),
        migrations.AddIndex(
            model_name='ledgerday',
            index=models.Index(fields=['user', 'day'], name='ledger_day_of_person'),
        ),
        migrations.AddIndex(
            model_name='ledgerday',
            index=models.Index(fields=['project', 'user', 'day'], name='ledger_day_in_project'),
        ),
        migrations.AddConstraint(
            model_name='ledgerday',
            constraint=models.UniqueConstraint(condition=models.Q(('batch__isnull', False)), fields=('project', 'user', 'day', 'work', 'batch'), name='ledger_day_once'),
        ),
        migrations.AddConstraint(
            model_name='ledgerday',
            constraint=models.UniqueConstraint(condition=models.Q(('batch__isnull', True)), fields=('project', 'user', 'day', 'work'), name='ledger_day_once_without_batch'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(fields=['user', 'ended_at'], name='ledger_moments'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(fields=['project', 'user', 'day'], name='ledger_person_days'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('activity', 'correction'), models.Q(('seconds__gte', 0), ('pieces__gte', 0)), _connector='OR'), name='ledger_only_corrections_below_zero'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('activity', 'correction'), _negated=True), models.Q(('created_by__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='ledger_correction_has_author_and_reason'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('started_at', None), ('ended_at__gte', models.F('started_at')), _connector='OR'), name='ledger_ends_after_it_starts'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.UniqueConstraint(condition=models.Q(('user', None)), fields=('project', 'work', 'valid_from'), name='rate_once_a_day'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.UniqueConstraint(condition=models.Q(('user__isnull', False)), fields=('project', 'work', 'user', 'valid_from'), name='rate_once_a_day_and_person'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0), models.Q(('amount', None), ('user__isnull', False)), _connector='OR'), name='rate_amount_not_below_zero'),
        ),
        migrations.AddIndex(
            model_name='savedview',
            index=models.Index(fields=['project', 'page'], name='views_of_a_list'),
        ),
        migrations.AddConstraint(
            model_name='savedview',
            constraint=models.UniqueConstraint(fields=('project', 'owner', 'page', 'name'), name='view_name_once'),
        ),
        migrations.AddConstraint(
            model_name='defaultview',
            constraint=models.UniqueConstraint(fields=('project', 'user', 'page'), name='default_view_once'),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
    ]
