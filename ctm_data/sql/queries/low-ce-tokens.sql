-- The tokens with the lowest contrastive scores, among those that occur ten times or more.
select piece, count(*) as occurrences, avg(ce) as mean_ce, count(*) filter (critical) as critical
from tokens
where ce is not null
group by piece
having occurrences >= 10
order by mean_ce, piece
limit 30
