-- A scan that was cut off and goes on has several parts; its `elapsed` and `sent` are of all.
-- Comments stand behind the semicolons, as in the steps before.
ALTER TABLE scan ADD COLUMN elapsed_before INTEGER; -- span that the parts before the last took
ALTER TABLE scan ADD COLUMN sent_before INTEGER; -- probes that the parts before the last sent
