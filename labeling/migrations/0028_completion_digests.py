from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("labeling", "0027_recipes_that_there_are"),
    ]

    operations = [
        migrations.AddField(
            model_name="completion",
            name="content_sha256",
            field=models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
    ]
