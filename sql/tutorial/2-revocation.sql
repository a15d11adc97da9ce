-- Tutorial 1, bonus topic: a token that is still valid, and refused all the same.

create schema auth;
grant usage on schema auth to web_anon, todo_user;

-- Runs before each request (db-pre-request); an exception ends the request.
create or replace function auth.check_token() returns void
  language plpgsql
  as $$
begin
  if current_setting('request.jwt.claim.email', true) =
     'disgruntled@mycompany.com' then
    raise insufficient_privilege
      using hint = 'Nope, we are on to you';
  end if;
end
$$;
