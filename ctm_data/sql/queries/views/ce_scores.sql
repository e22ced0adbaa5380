-- The contrastive scores of a rejected solution: one row, however many pairs it is in.
create view ce_scores as
select run, rejected_id as solution_id, rejected_ce as ce
from contrast
semi join (
    select run, min(pair_id) as pair_id
    from contrast
    where rejected_ce is not null
    group by run, rejected_id
) using (run, pair_id)
