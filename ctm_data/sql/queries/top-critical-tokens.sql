-- The tokens that are critical most often, and the share of their occurrences that are critical.
with seen as (
    select piece, count(*) as occurrences from tokens group by piece
), critical as (
    select piece, count(*) as critical, avg("drop") as mean_drop from critical_tokens group by piece
)
select piece, critical, occurrences, critical / occurrences as rate, mean_drop
from critical join seen using (piece)
order by critical desc, piece
limit 30
