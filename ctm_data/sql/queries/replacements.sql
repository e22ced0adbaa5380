-- The tokens that lead to the right answer when they replace the critical one.
with drawn as (select piece, unnest(replacements) as other from critical_tokens)
select
    piece as critical_piece,
    other.piece as replacement,
    sum(other.n_rollouts)::bigint as rollouts,
    sum(other.n_correct) / sum(other.n_rollouts) as success
from drawn
group by all
order by rollouts desc, critical_piece, replacement
limit 30
