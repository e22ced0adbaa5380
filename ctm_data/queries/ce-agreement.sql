-- Contrastive estimation against rollouts: how low the critical token's score is in its own solution.
-- `auc` is the share of the other tokens with a higher score, ties by half: 0.5 is chance.
with scored as (
    select
        critical_index,
        len(token_ids) as n,
        rejected_ce[critical_index + 1] as ce,
        list_sum(rejected_ce) as total,
        len(list_filter(rejected_ce, lambda score: score < rejected_ce[critical_index + 1])) as lower,
        len(list_filter(rejected_ce, lambda score: score = rejected_ce[critical_index + 1])) - 1 as ties
    from rollouts join (
        select run, rejected_id as solution_id, any_value(rejected_ce) as rejected_ce
        from contrast
        where rejected_ce is not null
        group by all
    ) using (run, solution_id)
    where critical_index is not null and len(token_ids) > 1
)
select
    count(*) as solutions,
    avg((n - 1 - lower - ties / 2) / (n - 1)) as auc,
    avg((lower = 0)::integer) as lowest_of_all,
    avg((lower < ceil(0.1 * n))::integer) as among_the_lowest_tenth,
    avg(ce) as mean_ce_of_critical,
    sum(total - ce) / sum(n - 1) as mean_ce_of_others
from scored
