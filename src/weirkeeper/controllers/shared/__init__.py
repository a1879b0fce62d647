"""What every controller needs to resolve references: Services, Secrets, ConfigMaps, hosts, regular expressions. Pure."""
