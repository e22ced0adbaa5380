-- How the value falls along wrong solutions, in tenths of their length.
select
    (10 * position // n_tokens)::integer as tenth,
    count(value) as tokens,
    avg(value) as mean_value,
    avg(value_high - value_low) as mean_width_of_interval
from tokens
group by tenth
order by tenth
