-- Accuracy of sampled solutions by subject and level of the problem.
select
    benchmark,
    subject,
    level,
    count(distinct (run, problem_id)) as problems,
    count(*) as solutions,
    avg(correct::integer) as accuracy
from solutions left join problems using (run, problem_id)
group by all
order by all
