-- Comments stand behind the semicolons, as in the steps before.
ALTER TABLE scan ADD COLUMN cut_off INTEGER; -- 1 where a part of it was cut off: its `sent` is the least that was sent
