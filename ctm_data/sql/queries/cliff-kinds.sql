-- Cliff tokens by kind (arXiv 2606.25524): deterministic ones are the policy's likeliest token where it is
-- nearly sure, uncertain ones its likeliest elsewhere, sampled-off ones any other. With 64 rollouts a value.
with cliffs as (
    select
        *,
        case
            when token_id <> greedy_id then 'sampled-off'
            when entropy <= -0.99 * ln(0.99) - 0.01 * ln(0.01) then 'deterministic'
            else 'uncertain'
        end as kind
    from tokens
    where "drop" > 0.1 + 1.645 * sqrt((value * (1 - value) + (value + "drop") * (1 - value - "drop")) / 64)
        and entropy is not null
)
select
    kind,
    count(*) as tokens,
    count(*) / sum(count(*)) over () as share,
    avg("drop") as mean_drop,
    avg(entropy) as mean_entropy,
    count(distinct (run, solution_id)) as solutions
from cliffs
group by kind
order by tokens desc, kind
