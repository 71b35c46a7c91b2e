"""HTTP below the routes: how requests come in, are limited, counted and answered."""
