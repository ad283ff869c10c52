-- Comments stand behind the semicolons, as in the steps before.
ALTER TABLE scan ADD COLUMN phase TEXT; -- what it was at when that was last told, as JSON: asking, settling or naming; NULL once all is done
