"""From neutral values to entries of NGINX's shared dictionary, and to the file that it is started from. Pure."""
