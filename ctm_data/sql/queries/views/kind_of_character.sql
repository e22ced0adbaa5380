-- For grouping characters: all ASCII letters count as one kind, backslash and hyphen as themselves, every
-- other ASCII character as white space.
create macro kind_of_character(code) as case
    when code between 97 and 122 or code between 65 and 90 then 97
    when code = 92 or code = 45 then code
    when code < 128 then 32
    else code end
