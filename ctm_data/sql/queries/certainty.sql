-- The probability with which the model drew the critical token, compared with all other tokens.
select
    critical,
    count(*) as tokens,
    avg(keep_prob) as mean_probability,
    count(*) filter (keep_prob < 0.5) / count(*) as share_below_half,
    count(*) filter (keep_prob > 0.999999) / count(*) as share_certain
from tokens
group by critical
order by critical desc
