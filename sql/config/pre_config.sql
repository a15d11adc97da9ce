-- Settings that the function of db-pre-config sets for the length of this message, which
-- is one transaction. A setting that another transaction had set is left empty.
SET TRANSACTION READ ONLY;
SELECT {function}();
SELECT name, current_setting('pgrst.' || name, true)
FROM unnest(string_to_array({names}, ',')) AS name
WHERE current_setting('pgrst.' || name, true) <> ''
