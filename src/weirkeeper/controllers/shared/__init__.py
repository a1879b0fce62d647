"""What every controller needs: references to Services, Secrets and ConfigMaps, resolved in one place."""
