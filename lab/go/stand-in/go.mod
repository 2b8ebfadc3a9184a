module kubefab.lab/stand-in

go 1.26.0
