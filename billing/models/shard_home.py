"""Where the shards of Redis are at home."""

from django.db import models


class ShardHome(models.Model):
    """The one server that may open a shard; without a row, that of REDIS_URL."""

    shard = models.PositiveSmallIntegerField(primary_key=True)
    # As `name_of_node` calls it.
    node = models.CharField(max_length=300)
    moved_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(shard__lt=16), name="shard_home_is_of_a_shard"
            )
        ]

    def __str__(self) -> str:
        return f"shard {self.shard} at {self.node}"
