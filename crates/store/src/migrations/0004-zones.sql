-- Comments stand behind the semicolons, as in the step before.
ALTER TABLE scan ADD COLUMN zones TEXT; -- over which interfaces link-local addresses were asked: `fe80::1-fe80::9%eth0`, joined by commas
