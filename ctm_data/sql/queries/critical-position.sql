-- The position of the critical token in its solution, in tenths of the length.
select
    (10 * position // n_tokens)::integer as tenth,
    count(*) as critical,
    count(*) / sum(count(*)) over () as share,
    avg("drop") as mean_drop
from critical_tokens
group by tenth
order by tenth
