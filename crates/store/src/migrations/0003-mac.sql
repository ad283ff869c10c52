-- Comments stand behind the semicolons: SQLite keeps the text of a new column as it is, and one
-- within it would take in the bracket that closes the table.
ALTER TABLE scan_host ADD COLUMN mac BLOB; -- its MAC address on a link of the scanning machine's: 6 octets
ALTER TABLE host ADD COLUMN mac BLOB; -- the last MAC address it was found at: 6 octets
