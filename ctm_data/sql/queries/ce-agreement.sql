-- Contrastive estimation against rollouts: how low the critical token's score ranks within its solution.
-- `auc` is the share of the other tokens with a higher score, ties counting half: 0.5 is chance.
with pairs as (
    select run, solution_id, ce, ce[critical_index + 1] as own, len(ce) as n,
        unnest(range(len(ce))) + 1 as i
    from rollouts join ce_scores using (run, solution_id)
    where critical_index is not null and len(ce) > 1
), ranked as (
    select
        any_value(n) as n,
        any_value(own) as own,
        sum(ce[i]) as total,
        count(*) filter (ce[i] < own) as lower,
        count(*) filter (ce[i] = own) - 1 as ties
    from pairs
    group by run, solution_id
)
select
    count(*) as solutions,
    avg((n - 1 - lower - ties / 2) / (n - 1)) as auc,
    avg((lower = 0)::integer) as lowest_of_all,
    avg((lower < ceil(0.1 * n))::integer) as among_the_lowest_tenth,
    avg(own) as mean_ce_of_critical,
    sum(total - own) / sum(n - 1) as mean_ce_of_others
from ranked
