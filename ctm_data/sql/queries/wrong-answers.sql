-- How concentrated wrong answers are: the share of a problem's most common wrong answer, and how many
-- answers cover half of its wrong solutions (the top-p of the paper's data selection).
with answers as (
    select run, problem_id, answer, count(*) as n
    from solutions
    where not correct and answer is not null
    group by all
), ranked as (
    select *,
        row_number() over of_a_problem as place,
        sum(n) over (of_a_problem rows unbounded preceding) - n as before,
        sum(n) over (partition by run, problem_id) as wrong
    from answers
    window of_a_problem as (partition by run, problem_id order by n desc, answer)
)
select
    count(distinct (run, problem_id)) as problems,
    count(*) / count(distinct (run, problem_id)) as wrong_answers_per_problem,
    sum(n) filter (place = 1) / sum(n) as share_of_the_commonest,
    count(*) filter (before < 0.5 * wrong) / count(distinct (run, problem_id)) as answers_that_cover_half
from ranked
